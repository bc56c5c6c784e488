namespace RbeMl.Codec;

/// <content>The frozen base: outliers, groups of codes, trellis.</content>
internal sealed partial class TileFitter
{
    // Codes of _residual in _current, and what they decode to in _base.
    private void QuantizeResidual()
    {
        for (int e = 0; e < _area; e++) _single[e] = (float)_residual[e];
        OutlierSelector.TakeLargest(_single, _current.OutlierPlaces, _current.OutlierValues);
        if (_trellis is not null) _current.Scales[0] = TrellisScaler.Encode(_trellis, _single, _current.Codes);
        else QuantizeGroups();
        DequantizeInto(_current, _base);
    }

    private void QuantizeGroups()
    {
        for (int g = 0; g < _area / QuantizedFormat.GroupSize; g++)
        {
            int first = g * QuantizedFormat.GroupSize;
            _current.Scales[g] =
                GroupQuantizer.Quantize(_single.AsSpan(first, QuantizedFormat.GroupSize), _plan.Bits, _current.Codes.AsSpan(first, QuantizedFormat.GroupSize));
        }
    }

    private void DequantizeInto(Candidate fit, Span<double> image)
    {
        if (_plan.Trellis)
        {
            float scale = (float)fit.Scales[0];
            TrellisEncoder.Reconstruct(_plan.Bits, 0, fit.Codes, _decodedBase);
            for (int e = 0; e < _area; e++) image[e] = scale * _decodedBase[e];
        }
        else
        {
            float[] levels = QuantizerLevels.For(_plan.Bits);
            for (int e = 0; e < _area; e++) image[e] = (float)fit.Scales[e / QuantizedFormat.GroupSize] * levels[fit.Codes[e]];
        }

        for (int e = 0; e < _plan.Outliers; e++) image[fit.OutlierPlaces[e]] = (float)fit.OutlierValues[e];
    }
}
