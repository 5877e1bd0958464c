"""What people and programs may do: each operation authorises, acts and writes its audit row in one transaction."""
