"""What may be spent on accounts and on new customers, when it pays back, and which accounts lose money."""
