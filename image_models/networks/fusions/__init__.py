"""Ways to make one of an image and its metadata, one class and one `FUSION` a file.

Each takes an image's vector x (N, a) and a metadata vector y (N, b), any widths. Where a formula needs certain widths,
x' = A x + a0 and y' = B y + b0 stand for linear layers to the width named there: every image branch goes with every
metadata branch. Eight were published with DermiResNet; what that study leaves open (widths, number of tokens) is chosen
here and said so.
"""
