using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace RbeMl.MLNet;

/// <summary>Everything of this library for ML.NET; reached as <c>ml.Rbe</c>.</summary>
public sealed partial class RbeCatalog
{
    internal RbeCatalog(MLContext context)
    {
        Context = context;
        Components.Register(context.ComponentCatalog);
    }

    internal MLContext Context { get; }

    private IHostEnvironment Environment => Context;
}
