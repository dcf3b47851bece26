"""The operator: how many replicas, and how much of its limit each consumer may use for each tenant."""
