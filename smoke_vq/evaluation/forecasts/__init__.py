"""How good a forecast of frames is: test sets, reference forecasts, scores with intervals, tables and pictures."""
