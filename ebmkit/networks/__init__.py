"""Networks from examples of one shape to those of another: generators, flows, encoders, classifiers."""
