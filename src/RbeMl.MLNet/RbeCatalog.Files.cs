using System.Runtime.ExceptionServices;
using Microsoft.ML;
using RbeMl.MLNet.Files;
using RbeMl.Storage;

namespace RbeMl.MLNet;

/// <content>Files of whole models.</content>
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

    /// <summary>
    /// Loads a model that <see cref="Save"/> or <c>ml.Model.Save</c> wrote, as <c>ml.Model.Load</c> does, but says what is wrong with one that is damaged:
    /// ML.NET hides the reason inside exceptions of reflection.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="inputSchema">The schema of the model's input; null when none was saved.</param>
    /// <exception cref="RbeFileException">The file cannot be read, is no model or damaged, or holds a component that this context does not know.</exception>
    public ITransformer Load(string path, out DataViewSchema? inputSchema)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        FileStream stream;
        try
        {
            stream = File.OpenRead(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new RbeFileException(path, $"cannot be read ({error.Message.TrimEnd('.')}). Check that it is a plain file you may read.", error);
        }

        using (stream) return Load(stream, path, out inputSchema);
    }

    /// <inheritdoc cref="Load(string, out DataViewSchema)"/>
    /// <param name="stream">Where from, seekable; it is left open.</param>
    /// <param name="inputSchema">The schema of the model's input; null when none was saved.</param>
    public ITransformer Load(Stream stream, out DataViewSchema? inputSchema)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Load(stream, "ML.NET model", out inputSchema);
    }

    private ITransformer Load(Stream stream, string name, out DataViewSchema? inputSchema)
    {
        ModelArchive.Check(stream, name);
        try
        {
            return Context.Model.Load(stream, out inputSchema);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            Exception cause = error;
            for (; cause is not RbeException && cause.InnerException is { } inner; cause = inner)
            {
            }

            if (cause is RbeException) ExceptionDispatchInfo.Throw(cause); // this library's own: it says what is wrong
            throw new RbeFileException(name,
                $"cannot be loaded ({cause.Message.TrimEnd('.')}). It is damaged, or holds a component that this context does not know: save it again.", error);
        }
    }
}
