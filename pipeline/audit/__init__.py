"""The leak audit: does anything reach a prediction that must not, and would the audit notice if it did?"""
