# A folder that iam-ledger does not know, as the seed has one: it is left alone.
