"""Reference implementations in NumPy float64, written from the papers.

They share no code with the package.
"""
