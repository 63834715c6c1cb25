"""With what a model is computed on this machine: PyTorch, OpenVINO or ONNX Runtime, behind one interface.

A runtime is a value with a name; `applied` turns a model into a function from pixels to what is wanted of the model.
`choosing.choose_runtime` measures the installed ones on the user's own images.
"""
