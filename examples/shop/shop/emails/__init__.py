"""What the boutique writes to its customers. (Not named `email`, so as not to hide the standard library's module.)"""
