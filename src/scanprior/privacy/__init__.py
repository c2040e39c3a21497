"""De-identification: rules, pseudonyms, sweep, burned-in text, faces, audit."""
