"""What judges and trains networks. Not in 3D Slicer; the rest of the library never imports it."""
