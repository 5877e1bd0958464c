"""The scheduler: services that create, promote, evaluate, admit, send and rescue, and the loop that calls them."""
