"""Inside any model: the extractor, the feature pass and what it feeds."""

from vitrail.features.extractor import FeatureExtractor, create_feature_extractor, get_graph_node_names

__all__ = ["FeatureExtractor", "create_feature_extractor", "get_graph_node_names"]
