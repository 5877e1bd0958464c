"""The database: the only queue and the only truth. Nothing outside this package imports sqlalchemy."""
