"""The version of this command."""

VERSION = "0.1.0"
