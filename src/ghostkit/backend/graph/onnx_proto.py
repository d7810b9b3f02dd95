"""The field numbers of onnx.proto, as many as are read or written here, by message."""

IR_VERSION, GRAPH, OPSET, METADATA, FUNCTION = 1, 7, 8, 14, 25  # ModelProto
KEY, VALUE = 1, 2  # StringStringEntryProto
OPSET_DOMAIN, OPSET_VERSION = 1, 2  # OperatorSetIdProto
NODE, GRAPH_NAME, INITIALIZER, INPUT, OUTPUT, VALUE_INFO = 1, 2, 5, 11, 12, 13  # GraphProto

FUNCTION_NODE = 7  # FunctionProto

NODE_INPUT, NODE_OUTPUT, NODE_NAME, OPERATOR, ATTRIBUTE = 1, 2, 3, 4, 5  # NodeProto
DOMAIN, OVERLOAD = 7, 8  # NodeProto
ATTRIBUTE_NAME, A_FLOAT, AN_INT, A_TENSOR, A_GRAPH = 1, 2, 3, 5, 6  # AttributeProto
INTS, TENSORS, GRAPHS = 8, 10, 11  # AttributeProto, lists
KIND, INT_KIND, INTS_KIND = 20, 2, 7  # AttributeProto, and its AttributeType

DIMS, DATA_TYPE, FLOAT_DATA, TENSOR_NAME, RAW_DATA, EXTERNAL_DATA = 1, 2, 4, 8, 9, 13  # TensorProto
FLOAT, UINT8, INT64, FLOAT16 = 1, 2, 7, 10  # TensorProto.DataType

NAME, TYPE = 1, 2  # ValueInfoProto
TENSOR_TYPE = 1  # TypeProto
ELEMENT_TYPE, SHAPE = 1, 2  # TypeProto.Tensor
DIM = 1  # TensorShapeProto
SIZE, SIZE_NAME = 1, 2  # TensorShapeProto.Dimension
