"""What IAM takes, as values: documents, forms, sizes. Pure."""
