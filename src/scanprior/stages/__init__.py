"""One module per stage: reads files, calls one library package, writes files."""
