"""What the web services of this package share: the broker, the mover, and of the issuer the embedded gateway too."""
