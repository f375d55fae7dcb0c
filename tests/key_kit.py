"""The tenant key of the tests that need one and do not ask for anything special of it."""

from tenure.values import TableName, TenantKey

KEY = TenantKey(
    name="project_id",
    type="text",
    quarantine="__quarantine__",
    shared="__shared__",
    registry=TableName(name="projects"),
    registry_column="id",
)
# The example's registry, and what its old code writes where it knows no project.
EXAMPLE_KEY = KEY.model_copy(update={"registry": TableName(name="proyectos"), "untagged": ("default",)})
