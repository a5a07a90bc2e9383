"""The only room that knows aioboto3 and botocore."""
