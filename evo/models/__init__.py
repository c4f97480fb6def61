"""Language models: asked through one protocol, paid from one purse, and never trusted to answer."""
