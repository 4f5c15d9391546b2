"""The studio: one offline page on which convolution can be seen, served by the library itself."""
