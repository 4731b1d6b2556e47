"""What a person can share, one folder each and all of the same shape; none imports another."""
