"""What a policy would have done: traffic, replicas and policies in virtual time."""
