using System.Runtime.ExceptionServices;
using Microsoft.ML;
using RbeMl.Storage;

namespace RbeMl.MLNet;

public sealed partial class RbeCatalog
{
    /// <summary>
    /// Saves a model, ML.NET's own or this library's, as <c>ml.Model.Save</c> does, but as a whole or not at all: when anything fails, a file that was there
    /// before stays as it was. <see cref="Load(string, out DataViewSchema)"/> reads it, and <c>ml.Model.Load</c> after <c>ml.UseRbe()</c>.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="inputSchema">The schema of its input; null saves none.</param>
    /// <param name="path">The file; an existing one is replaced.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    /// <exception cref="NotSupportedException">A transformer has no saved form.</exception>
    public void Save(ITransformer model, DataViewSchema? inputSchema, string path)
    {
        ArgumentNullException.ThrowIfNull(model);
        NotSupportedException? refused = null;
        try
        {
            AtomicFile.Write(path, stream =>
            {
                try
                {
                    Context.Model.Save(model, inputSchema, stream);
                }
                catch (NotSupportedException e)
                {
                    refused = e;
                    throw;
                }
            });
        }
        catch (RbeFileException) when (refused is not null)
        {
            ExceptionDispatchInfo.Throw(refused); // the model's failure, not the file's
        }
    }
}
