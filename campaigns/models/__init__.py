"""Campaigns and the messages they carry."""

from campaigns.models.campaign import Campaign, Channel, State
from campaigns.models.part import Part, PartUse, PartVersion
from campaigns.models.seeds import SeedList
from campaigns.models.template import Template, TemplateVersion

__all__ = ["Campaign", "Channel", "Part", "PartUse", "PartVersion", "SeedList", "State", "Template", "TemplateVersion"]
