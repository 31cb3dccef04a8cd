__version__ = "0.1.0.dev0"
# Of config.json: raised when an old library would misread a new model, which it then refuses by this number.
CONFIG_FORMAT = 1
