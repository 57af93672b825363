"""What goes well with a product: the contract of a service in Node.js, whose code is server.js."""
