"""What flows are made of, against autograd and against formulas of their own."""
