using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Cli.Inspect;

/// <summary>The weights that errors are measured against, one matrix at a time.</summary>
internal abstract class ReferenceWeights : IDisposable
{
    /// <summary>Opens a file.</summary>
    /// <param name="path">A <c>.rbe</c> file, the folder of a Hugging Face GPT-2 or BERT, the .onnx file of one, or a <c>.safetensors</c> file.</param>
    /// <exception cref="RbeFileException">It cannot be read.</exception>
    public static ReferenceWeights Open(string path)
    {
        if (OnnxModelFile.IsNamed(path) || (Directory.Exists(path) && ModelSource.InFolder(path) is null))
        {
            return new ModelReference(path, ModelSource.Load(path));
        }

        return path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase)
            ? new DenseReference(SafetensorsFile.Open(path))
            : new CompressedReference(RbeContainer.Open(ModelSource.FileOf(path)));
    }

    /// <summary>The dense weights of a matrix, row-major.</summary>
    /// <exception cref="RbeMl.RbeException">There is none of that name and shape.</exception>
    public abstract float[] Read(string name, int rows, int columns);

    /// <inheritdoc/>
    public abstract void Dispose();

    private protected static RbeException Missing(string path, string name, int rows, int columns, string actual) =>
        new RbeFileException(path,
            $"matrix \"{name}\" of {rows} x {columns} is needed as a reference, the file has {actual}. Give the weights that the compressed file was made of.");

    /// <summary>Another compressed file; its dense tables serve too.</summary>
    private sealed class CompressedReference(RbeContainer file) : ReferenceWeights
    {
        private readonly Dictionary<string, RbeMatrix> _matrices = Inspect(file);

        public override float[] Read(string name, int rows, int columns)
        {
            if (_matrices.TryGetValue(name, out RbeMatrix? matrix))
            {
                return matrix.Rows == rows && matrix.Columns == columns ? matrix.ToDense()
                    : throw Missing(file.Path, name, rows, columns, $"one of {matrix.Rows} x {matrix.Columns}");
            }

            return file.Contains(name) ? file.Read<float>(name, (long)rows * columns) : throw Missing(file.Path, name, rows, columns, "none");
        }

        public override void Dispose() => file.Dispose();

        private static Dictionary<string, RbeMatrix> Inspect(RbeContainer file)
        {
            try
            {
                Dictionary<string, RbeMatrix> matrices = [];
                foreach (RbeMatrixInspection found in RbeInspection.Read(file, verify: true).Matrices) matrices.TryAdd(found.Name, found.Matrix);
                return matrices;
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
    }

    /// <summary>A model, by the names its matrices have in a compressed file.</summary>
    private sealed class ModelReference(string path, ModelBundle bundle) : ReferenceWeights
    {
        private readonly Dictionary<string, RbeMatrix> _matrices = bundle.Model.Matrices.ToDictionary(m => m.Name, m => m.Matrix);
        private readonly Dictionary<string, ParameterSlice> _slices = bundle.Model.Parameters.Slices.ToDictionary(s => s.Name);

        public override float[] Read(string name, int rows, int columns)
        {
            if (_matrices.TryGetValue(name, out RbeMatrix? matrix))
            {
                return matrix.Rows == rows && matrix.Columns == columns ? matrix.ToDense()
                    : throw Missing(path, name, rows, columns, $"one of {matrix.Rows} x {matrix.Columns}");
            }

            return !_slices.TryGetValue(name, out ParameterSlice? slice) || slice.Length != (long)rows * columns
                ? throw Missing(path, name, rows, columns, "none") : bundle.Model.Parameters.ToFloats(slice);
        }

        public override void Dispose() => bundle.Dispose();
    }

    /// <summary>Dense tensors by name.</summary>
    private sealed class DenseReference(SafetensorsFile file) : ReferenceWeights
    {
        public override float[] Read(string name, int rows, int columns)
        {
            if (!file.Contains(name)) throw Missing(file.Path, name, rows, columns, "none");
            SafetensorsTensor tensor = file.Find(name);
            return tensor.Shape.SequenceEqual([rows, columns]) ? file.ReadFloats(name) : throw Missing(file.Path, name, rows, columns, tensor.Describe());
        }

        public override void Dispose() => file.Dispose();
    }
}
