"""Parts of procedural scenes; `scenes.render` puts them together.

All colors are linear-light RGB float32 (1.0 = a white sheet in full sun) and become sRGB only in `camera.expose`.
Positions are pixels of the final image (pixel i covers [i, i+1)), x to the right, y down; heights of the horizon are
fractions of the image's height. Every function draws from the generator it is given and from nothing else: the order
of the draws is what makes a seed give the same bytes, so it is part of what the code says.
"""
