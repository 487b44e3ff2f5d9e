"""The rule builder belongs to the server: form inputs become a draft tree, one step changes it, the page shows it."""
