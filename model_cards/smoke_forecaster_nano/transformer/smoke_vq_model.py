"""Read by diffusers and transformers with trust_remote_code=True. It needs the package smoke-vq."""

from smoke_vq.models.flow_transformer import SmokeFlowTransformer

__all__ = ["SmokeFlowTransformer"]
