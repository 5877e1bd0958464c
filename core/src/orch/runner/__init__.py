"""Inside the task's own process: the command it gets, the context it sees, the outcome it hands back."""
