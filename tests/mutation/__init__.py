"""`./dev mutate`: does a test notice when a comparison of lua/ is flipped, or a statement dropped?"""
