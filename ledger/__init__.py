"""What is true: events, their rules, where they are kept. No AWS client, terminal or clock."""
