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

    /// <summary>The catalog of a context, for languages without extension properties: <c>RbeCatalog.Of(ml)</c> is <c>ml.Rbe</c>.</summary>
    public static RbeCatalog Of(MLContext context) => context.Rbe;

    internal MLContext Context { get; }

    private IHostEnvironment Environment => Context;
}
