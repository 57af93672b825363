"""What engines need before services can use them, wherever they run."""
