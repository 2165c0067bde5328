"""Networks, their cost, and their export to ONNX: the only room that imports torch and onnx, with the ``train`` extra.

Nothing at run time imports this package: a trained model is a file, which `bs_controller.inference` reads.
"""
