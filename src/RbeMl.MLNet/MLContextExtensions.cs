using System.Runtime.CompilerServices;
using RbeMl.MLNet;

namespace Microsoft.ML;

/// <summary>Adds RbeMl's components to a context.</summary>
public static class RbeMLContextExtensions
{
    private static readonly ConditionalWeakTable<MLContext, RbeCatalog> Catalogs = [];

    extension(MLContext context)
    {
        /// <summary>RbeMl's estimators, trainers and model files. The first use makes them known to the context, as <c>UseRbe</c> does.</summary>
        public RbeCatalog Rbe
        {
            get
            {
                ArgumentNullException.ThrowIfNull(context);
                return Catalogs.GetValue(context, c => new RbeCatalog(c));
            }
        }
    }

    /// <summary>
    /// Makes RbeMl's components known to a context, so that models which hold them can be loaded. Without it, loading fails with an
    /// <see cref="InvalidOperationException"/> whose innermost exception says "Couldn't load model: 'TransformerChain/Transform_001'".
    /// </summary>
    /// <param name="context">The context.</param>
    /// <returns>The same context.</returns>
    public static MLContext UseRbe(this MLContext context)
    {
        _ = context.Rbe;
        return context;
    }
}
