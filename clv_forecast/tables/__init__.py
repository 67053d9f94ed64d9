"""The one door: whatever table a user has is opened, read by stated rules, and given this package's column names.

Orders, accounts, crosswalks, costs, events and rates all come in here, from memory, files, spreadsheets and databases.
Any room above may call it; it knows nothing of what the rows mean.
"""
