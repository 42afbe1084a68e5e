"""Pure functions: transforms, wavelets, total variation, measures of images."""
