"""What policy means: from objects to resolved rules, from rules to verdicts and to map entries. Pure."""
