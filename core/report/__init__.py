"""Documents made of results: data in, text out."""
