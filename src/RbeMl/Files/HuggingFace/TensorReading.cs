using System.Runtime.InteropServices;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Files;

/// <summary>Reads tensors as weights: values must be finite, and linear maps come out [out, in] whichever way they lie in the file.</summary>
internal static unsafe class TensorReading
{
    private const int BandRows = 64;

    /// <summary>All values of a tensor.</summary>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public static float[] Values(SafetensorsSet tensors, string name)
    {
        float[] values = tensors.ReadFloats(name);
        CheckFinite(tensors, name, values, 0);
        return values;
    }

    /// <summary>The row-major [out, in] values of a linear map, cut along its outputs into equal parts.</summary>
    /// <param name="tensors">The files.</param>
    /// <param name="name">The tensor.</param>
    /// <param name="transposed">Whether it is stored [in, out].</param>
    /// <param name="parts">Parts; the number of outputs is a multiple of it.</param>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public static float[][] Linear(SafetensorsSet tensors, string name, bool transposed, int parts)
    {
        SafetensorsTensor tensor = tensors.Find(name);
        int rows = (int)tensor.Shape[0], columns = (int)tensor.Shape[1];
        float[][] values = new float[parts][];
        for (int p = 0; p < parts; p++) values[p] = GC.AllocateUninitializedArray<float>((int)((long)rows * columns / parts));
        int rowBytes = columns * SafetensorsElements.Bits(tensor.Element) / 8;
        float[] band = tensor.Element == SafetensorsElement.F32 ? [] : new float[BandRows * columns];
        tensors.FileOf(name).Stream(tensor, rowBytes, (start, part) =>
        {
            int first = (int)(start / rowBytes), count = part.Length / rowBytes, step = band.Length == 0 ? count : BandRows;
            for (int row = 0; row < count; row += step)
            {
                int height = Math.Min(step, count - row);
                ReadOnlySpan<byte> bytes = part.Slice(row * rowBytes, height * rowBytes);
                ReadOnlySpan<float> stored = MemoryMarshal.Cast<byte, float>(bytes);
                if (band.Length > 0)
                {
                    HalfPrecision.Widen(tensor.Element, bytes, band.AsSpan(0, height * columns));
                    stored = band.AsSpan(0, height * columns);
                }

                CheckFinite(tensors, name, stored, (long)(first + row) * columns);
                if (transposed) TransposeBand(stored, first + row, height, rows, columns, values);
                else CopyBand(stored, first + row, columns, values);
            }
        });
        return values;
    }

    /// <summary>Checks that a tensor is of floats and has the shape that the configuration asks for.</summary>
    /// <exception cref="RbeFileException">It is not.</exception>
    public static void RequireShape(SafetensorsSet tensors, string name, long[] shape)
    {
        SafetensorsTensor tensor = tensors.FileOf(name).RequireFloats(tensors.Find(name));
        if (tensor.Shape.SequenceEqual(shape)) return;
        throw new RbeFileException(tensors.FileOf(name).Path,
            $"tensor \"{name}\": {Gpt2ConfigJson.FileName} asks for [{string.Join(", ", shape)}], the file has {tensor.Describe()}. Correct "
                + "the configuration, or take both from one model.");
    }

    /// <summary>What a folder lacks of a kind of model, and what it has too much, as a sentence without its subject and end.</summary>
    public static string Difference(string[] missing, string[] extra, string kind)
    {
        string problem = missing.Length == 0 ? "" : $"lacks {List(missing)}";
        return extra.Length == 0 ? problem : problem + $"{(problem.Length == 0 ? "" : " and ")}holds {List(extra)}, which {kind} does not have";

        static string List(string[] names)
        {
            const int Most = 6;
            return string.Join(", ", names.Take(Most).Select(name => $"\"{name}\"")) + (names.Length > Most ? $" and {names.Length - Most} more" : "");
        }
    }

    /// <summary>Whether two tensors have the same type, shape and bytes.</summary>
    public static bool AreEqual(SafetensorsSet tensors, string first, string second)
    {
        SafetensorsTensor a = tensors.Find(first), b = tensors.Find(second);
        if (a.Element != b.Element || !a.Shape.SequenceEqual(b.Shape)) return false;
        bool equal = true;
        tensors.FileOf(first).Stream(a, 1, (start, part) =>
        {
            if (!equal) return;
            using SafetensorsFile.MappedBytes other = tensors.FileOf(second).Map(b, start, part.Length);
            equal = part.SequenceEqual(other.Span);
        });
        return equal;
    }

    /// <summary>The dense weights of linear maps of the same inputs, beside each other: [in, outputs of all].</summary>
    public static float[] Join(RbeMatrix[] matrices)
    {
        int inputs = matrices[0].Columns, outputs = matrices.Sum(matrix => matrix.Rows), first = 0;
        float[] joined = GC.AllocateUninitializedArray<float>(checked(inputs * outputs));
        foreach (RbeMatrix matrix in matrices)
        {
            float[] dense = matrix.ToDense();
            fixed (float* source = dense, target = joined) ElementwiseTranspose.Transpose(source, matrix.Rows, inputs, inputs, target + first, outputs);
            first += matrix.Rows;
        }

        return joined;
    }

    // stored is [height, columns], rows first .. of [rows, columns]; part p gets its columns as rows.
    private static void TransposeBand(ReadOnlySpan<float> stored, int first, int height, int rows, int columns, float[][] parts)
    {
        int width = columns / parts.Length;
        fixed (float* source = stored)
        {
            for (int p = 0; p < parts.Length; p++)
            {
                fixed (float* target = parts[p]) ElementwiseTranspose.Transpose(source + (p * width), height, width, columns, target + first, rows);
            }
        }
    }

    // Whole rows, which may go to several parts.
    private static void CopyBand(ReadOnlySpan<float> stored, int first, int columns, float[][] parts)
    {
        int partRows = parts[0].Length / columns;
        for (int row = 0; row < stored.Length / columns; row++)
        {
            (int part, int place) = Math.DivRem(first + row, partRows);
            stored.Slice(row * columns, columns).CopyTo(parts[part].AsSpan(place * columns));
        }
    }

    private static void CheckFinite(SafetensorsSet tensors, string name, ReadOnlySpan<float> values, long first)
    {
        int bad = FiniteSearch.IndexOfNonFinite(values);
        if (bad >= 0)
        {
            throw new NonFiniteException($"{tensors.FileOf(name).Path}: {name}",
                FormattableString.Invariant($"value {values[bad]} at element {first + bad}. Take the model from a sound source."));
        }
    }
}
