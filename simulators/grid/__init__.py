"""The low-voltage network and its exact unbalanced power flow."""
