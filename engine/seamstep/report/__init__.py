"""What seamstep shows to people."""
