"""One module for each word after `weft`; `cli.__main__` imports a module only when its word is used."""
