"""A line camera over a moving stage: a whole instrument in one folder, as another package would bring it."""
